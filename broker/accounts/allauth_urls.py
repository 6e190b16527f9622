from django.urls import include, path

from broker.accounts.views import second_factor

urlpatterns = [
    path("second-facteur/", second_factor.give_again, name="second-factor"),
    path("2fa/totp/activate/", second_factor.activate_totp, name="mfa_activate_totp"),
    path("email/", second_factor.address_is_kept, name="account_email"),
    path("", include("allauth.account.urls")),
    path("2fa/", include("allauth.mfa.urls")),
]
