from django.urls import path

from broker.accounts.views import demo, environments, organisations

urlpatterns = [
    path("organisation/", organisations.detail, name="organisation-detail"),
    path("organisation/nouvelle/", organisations.create, name="organisation-create"),
    path("organisation/invitations/<int:pk>/accepter/", organisations.accept, name="invitation-accept"),
    path("organisation/invitations/<int:pk>/refuser/", organisations.decline, name="invitation-decline"),
    path("environnements/nouveau/", environments.create, name="environment-create"),
    path("environnements/<int:pk>/", environments.detail, name="environment-detail"),
    path("environnements/<int:pk>/attester/", environments.attest, name="environment-attest"),
    path("environnements/<int:pk>/identifiants/", environments.create_credential, name="credential-create"),
    path(
        "environnements/<int:pk>/identifiants/<int:credential>/revoquer/",
        environments.revoke_credential,
        name="credential-revoke",
    ),
    path("demo/", demo.cast, name="demo-cast"),
    path("demo/horloge/", demo.advance_clock, name="demo-clock"),
]
