"""Traces of cert-manager: the Secret of a Certificate, and what is deleted once that is issued.

The order of writes is that of a real cluster: the issuing controller stores the Secret and the condition, then the key
manager deletes the temporary key (cert-manager pkg/controller/certificates/keymanager).
"""

from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows

KEYS, ISSUING = "cert-manager-certificates-key-manager", "cert-manager-certificates-issuing"
TRIGGER, REQUESTS = "cert-manager-certificates-trigger", "cert-manager-certificates-request-manager"


def requested(c: Cluster, number: int = 1) -> tuple[Thing, Thing]:
    """A new Certificate, and the temporary Secret for it."""
    web = c.create("Certificate", "web", by="kubectl-create", secretName="web-tls")
    c.condition(web, "Issuing", "True", reason="DoesNotExist", by=TRIGGER)
    return web, c.create("Secret", f"web-key-{number}", owner=web, by=KEYS)


def issued(c: Cluster, web: Thing) -> Thing:
    marks = {"cert-manager.io/certificate-name": "web", "cert-manager.io/issuer-name": "ca"}
    secret = c.create("Secret", "web-tls", by=ISSUING, annotations=marks)
    c.condition(web, "Issuing", "False", reason="Issued", by=ISSUING)
    return secret


def test_a_secret_in_a_new_namespace_is_made_for_its_certificate() -> None:
    c = Cluster()
    c.first_list()
    c.create("Namespace", "shop", by="kubectl-create")
    c.create("ConfigMap", "kube-root-ca.crt", by="kube-controller-manager")
    c.wait(5)
    web, key = requested(c)
    issued(c, web)
    c.gone(key)
    shows(
        c,
        """
        Namespace.Create shop  by kubectl  [root]
          ConfigMap.Create kube-root-ca.crt  by kube-controller-manager  [place]

        Certificate.Create web  by kubectl  [root]
          Certificate.Issuing web  by cert-manager-certificates-trigger  [own]
          Secret.Create web-key-1  by cert-manager-certificates-key-manager  [owner]
          Secret.Create web-tls  by cert-manager-certificates-issuing  [owner]
          Certificate.Issuing=False web  by cert-manager-certificates-trigger  [own]
            Secret.Delete web-key-1  by cert-manager-certificates-key-manager  [owner]
        """,
    )


def test_what_is_deleted_while_its_owner_does_nothing_was_deleted_by_somebody() -> None:
    c = Cluster()
    c.first_list()
    web, key = requested(c)
    issued(c, web)
    c.wait(30)
    c.gone(key)
    shows(
        c,
        """
        Certificate.Create web  by kubectl  [root]
          Certificate.Issuing web  by cert-manager-certificates-trigger  [own]
          Secret.Create web-key-1  by cert-manager-certificates-key-manager  [owner]
          Secret.Create web-tls  by cert-manager-certificates-issuing  [owner]
          Certificate.Issuing=False web  by cert-manager-certificates-trigger  [own]

        Secret.Delete web-key-1  by unknown  [root]
        """,
    )


def test_what_its_owner_makes_again_was_deleted_by_somebody() -> None:
    c = Cluster()
    c.first_list()
    web, _ = requested(c)
    request = c.create("CertificateRequest", "web-1", owner=web, by=REQUESTS)
    issued(c, web)
    c.gone(request)
    c.create("CertificateRequest", "web-1", owner=web, by=REQUESTS)
    shows(
        c,
        """
        Certificate.Create web  by kubectl  [root]
          Certificate.Issuing web  by cert-manager-certificates-trigger  [own]
          Secret.Create web-key-1  by cert-manager-certificates-key-manager  [owner]
          CertificateRequest.Create web-1  by cert-manager-certificates-request-manager  [owner]
          Secret.Create web-tls  by cert-manager-certificates-issuing  [owner]
          Certificate.Issuing=False web  by cert-manager-certificates-trigger  [own]

        CertificateRequest.Delete web-1  by unknown  [root]
          CertificateRequest.Create web-1  by cert-manager-certificates-request-manager  [owner]
        """,
    )
