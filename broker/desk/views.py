"""The public home and the desk of each person."""

from django.contrib.auth.decorators import login_not_required
from django.shortcuts import render


@login_not_required
def home(request):
    return render(request, "desk/home.html")


def desk(request):
    return render(request, "desk/desk.html")
