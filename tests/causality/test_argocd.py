"""Traces of Argo CD: an operation of an Application, from its start to its end.

The Events are those of argoproj/argo-cd controller/appcontroller.go (setOperationState): the end of an operation is a
Warning unless it succeeded.
"""

import pytest

from tests.causality.actors import done
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows
from tests.causality.flux import outcomes

CONTROLLER = "argocd-application-controller"
TRACKED = {"argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/web"}
LABELLED = {"app.kubernetes.io/instance": "store"}
FAILED = "Sync operation to abc failed: one or more objects failed to apply"


def an_application(*, label: bool = False) -> tuple[Cluster, Thing, Thing]:
    c = Cluster()
    app = c.create("Application", "store", by="kubectl-create", namespace="argocd")
    labels, annotations = (dict(LABELLED), {}) if label else ({}, dict(TRACKED))
    web = c.create("Deployment", "web", by="argocd-controller", labels=labels, annotations=annotations, replicas=0)
    done(c, web)
    c.first_list()
    return c, app, web


def begin(c: Cluster, app: Thing) -> None:
    c.event(app, "OperationStarted", "Initiated automated sync to 'abc'", by=CONTROLLER)
    c.patch_status(app, by=CONTROLLER, operationState={"phase": "Running"})


def end(c: Cluster, app: Thing, *, failed: bool = False) -> None:
    c.patch_status(app, by=CONTROLLER, operationState={"phase": "Failed" if failed else "Succeeded"})
    message = FAILED if failed else "Sync operation to abc succeeded"
    c.event(app, "OperationCompleted", message, by=CONTROLLER, warning=failed)


@pytest.mark.parametrize("seconds", [2, 120])
def test_an_operation_that_fails_is_one_trace_that_failed(seconds: int) -> None:
    c, app, _ = an_application()
    begin(c, app)
    c.wait(seconds)
    end(c, app, failed=True)
    c.wait(300)
    assert outcomes(c) == [("Application.OperationStarted store", "failed")]
    shows(
        c,
        """
        Application.OperationStarted store  by argocd-application-controller  [root] error
          Application.OperationCompleted store  by argocd-application-controller  [own] error
        """,
    )


def test_each_operation_ends_with_its_own_event() -> None:
    c, app, web = an_application()
    begin(c, app)
    end(c, app)
    c.wait(60)
    begin(c, app)
    c.update(web, by="argocd-controller", image="app:v2")
    done(c, web)
    end(c, app)
    shows(
        c,
        """
        Application.OperationStarted store  by argocd-application-controller  [root]
          Application.OperationCompleted store  by argocd-application-controller  [own]

        Application.OperationStarted store  by argocd-application-controller  [root]
          Deployment.Update web  by argocd-controller  [subject]
          Application.OperationCompleted store  by argocd-application-controller  [own]
        """,
    )


def test_the_end_of_an_operation_that_nobody_saw_beginning_is_a_trace_of_its_own() -> None:
    c, app, _ = an_application()
    end(c, app, failed=True)
    shows(c, "Application.OperationCompleted store  by argocd-application-controller  [root] error")


def test_what_is_tracked_by_a_label_is_below_the_operation() -> None:
    c, app, web = an_application(label=True)
    begin(c, app)
    c.update(web, by="argocd-controller", image="app:v2")
    done(c, web)
    end(c, app)
    shows(
        c,
        """
        Application.OperationStarted store  by argocd-application-controller  [root]
          Deployment.Update web  by argocd-controller  [subject]
          Application.OperationCompleted store  by argocd-application-controller  [own]
        """,
    )


def test_what_helm_made_for_a_release_with_the_name_of_an_application_is_not_the_applications() -> None:
    c, app, _ = an_application()
    settings = c.create("ConfigMap", "settings", by="helm", labels=dict(LABELLED))
    c.wait(60)
    begin(c, app)
    c.gone(settings)
    end(c, app)
    shows(
        c,
        """
        ConfigMap.Create settings  by helm  [root]

        Application.OperationStarted store  by argocd-application-controller  [root]
          Application.OperationCompleted store  by argocd-application-controller  [own]

        ConfigMap.Delete settings  by unknown  [root]
        """,
    )


def test_an_operation_that_restores_what_was_edited_by_hand_corrects_that() -> None:
    c, app, web = an_application()
    c.update(web, by="kubectl-edit", image="app:v9")
    done(c, web)
    c.wait(1)
    begin(c, app)
    c.update(web, by="argocd-controller", image="app:v1")
    done(c, web)
    end(c, app)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.Update web  by argocd-controller  [own]

        Application.OperationStarted store  by argocd-application-controller  [root]
          Application.OperationCompleted store  by argocd-application-controller  [own]
        """,
    )


def test_an_operation_with_a_new_image_is_not_the_correction_of_an_edit_by_hand() -> None:
    c, app, web = an_application()
    c.update(web, by="kubectl-edit", image="app:v9")
    done(c, web)
    c.wait(1)
    begin(c, app)
    c.update(web, by="argocd-controller", image="app:v2")
    done(c, web)
    end(c, app)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]

        Application.OperationStarted store  by argocd-application-controller  [root]
          Deployment.Update web  by argocd-controller  [subject]
          Application.OperationCompleted store  by argocd-application-controller  [own]
        """,
    )
