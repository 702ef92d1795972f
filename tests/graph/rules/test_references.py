"""What an object names: the one for which a tool applied it, and its source."""

import json

import pytest

from kspan.graph import built_in_rules
from kspan.graph.rules.loader import check_rules, parse_rules
from kspan.graph.rules.references import applier_of, source_of
from kspan.graph.rules.rules import Applier, Part, Source, StatusFields

TRACKING = "argocd.argoproj.io/tracking-id"
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


@pytest.mark.parametrize(
    "labels, annotations, manager, expected",
    [
        ({}, {TRACKING: "store:apps/Deployment:shop/web"}, "argocd-controller", ("Application", "", "store")),
        ({}, {TRACKING: "team_store:apps/Deployment:shop/web"}, "argocd-controller", ("Application", "team", "store")),
        ({}, {TRACKING: "store:apps/Deployment:shop/web"}, "kubectl-edit", ()),
        (FLUX, {}, "kustomize-controller", ("Kustomization", "flux-system", "apps")),
        (FLUX, None, "", ("Kustomization", "flux-system", "apps")),
        (FLUX, {}, "helm-controller", ()),
        ({"app.kubernetes.io/instance": "store"}, {}, "argocd-controller", ("Application", "", "store")),
        ({"app.kubernetes.io/instance": "store"}, {}, "helm", ()),
        ({"app.kubernetes.io/instance": "store"}, {}, "", ()),
        ({"velero.io/restore-name": "monday"}, {}, "velero-server", ("Restore", "", "monday")),
        ({"app": "web"}, {}, "kustomize-controller", ()),
    ],
)
def test_a_mark_names_the_object_for_which_its_tool_made_a_change(
    labels: dict[str, str], annotations: dict[str, str] | None, manager: str, expected: tuple[str, ...]
) -> None:
    assert applier_of(built_in_rules().appliers, json.dumps(labels).encode(), annotations, manager) == expected


def test_labels_that_are_no_strings_are_ignored() -> None:
    assert applier_of(built_in_rules().appliers, b'{"velero.io/restore-name": 1}', None, "velero") == ()


@pytest.mark.parametrize(
    "spec, expected",
    [
        ({"sourceRef": {"kind": "Bucket", "name": "b"}}, ("Bucket", "flux-system", "b")),
        ({"sourceRef": {"kind": "Bucket", "name": "b", "namespace": "c"}}, ("Bucket", "c", "b")),
        ({"chart": {"spec": {"sourceRef": {"kind": "Bucket", "name": "b"}}}}, ("Bucket", "flux-system", "b")),
        ({"interval": "5m"}, ()),
        ({"sourceRef": "b", "chart": []}, ()),
    ],
)
def test_a_spec_names_its_source(spec: dict[str, object], expected: tuple[str, ...]) -> None:
    paths = ("sourceRef", "chart.spec.sourceRef")
    assert source_of(json.dumps(spec).encode(), paths, "flux-system") == expected


def test_a_spec_that_is_no_object_has_no_source() -> None:
    assert source_of(b"[1]", ("sourceRef",), "shop") == source_of(b"", ("sourceRef",), "shop") == ()


def test_marks_and_sources_are_added_overridden_and_removed() -> None:
    rules = parse_rules(
        "my.toml",
        """
        [appliers]
        "deploybot.example.com/app" = { kind = "App", manager = "deploybot", namespace = "deploybot.example.com/team" }
        "velero.io/restore-name" = false

        [sources]
        App = { reference = "from", kind = "Template" }
        HelmChart = false

        [status_fields]
        App = { field = ["halt", "target"], cancels = "halt" }
        Rollout = false

        [parts]
        "deploybot.example.com/made-for" = { kind = "App" }
        "cert-manager.io/certificate-name" = false
        """,
    )
    assert rules.status_fields["App"] == StatusFields(("halt", "target"), ("halt",))
    assert "Rollout" not in rules.status_fields
    assert rules.parts == {"deploybot.example.com/made-for": Part("App")}
    assert rules.appliers["deploybot.example.com/app"] == Applier("App", ("deploybot",), "deploybot.example.com/team")
    assert "velero.io/restore-name" not in rules.appliers
    assert rules.sources["App"] == Source(("from",), ("Template",))
    assert "HelmChart" not in rules.sources
    assert TRACKING in rules.appliers
    assert rules.digest != built_in_rules().digest


@pytest.mark.parametrize(
    "text, mistake",
    [
        ("[appliers]\nx = 1", "2: x must be a table, or false to remove it, not a number"),
        ("[appliers]\nx = false", "2: unknown built-in mark 'x'"),
        ('[appliers]\nx = { manager = "m" }', "2: kind is missing"),
        ('[appliers]\nx = { kind = "K" }', "2: manager is missing"),
        ("[sources]\nK = 1", "2: K must be a table, or false to remove it, not a number"),
        ("[sources]\nK = false", "2: unknown built-in kind 'K'"),
        ('[sources]\nK = { kind = "L" }', "2: reference is missing"),
        ('[sources]\nK = { reference = "r", message = "(" }', "2: invalid regular expression in message"),
        ("[status_fields]\nK = 1", "2: K must be a table, or false to remove it, not a number"),
        ("[status_fields]\nK = false", "2: unknown built-in kind 'K'"),
        ("[status_fields]\nK = { publishes = true }", "2: field is missing"),
        ('[status_fields]\nK = { field = "a", cancels = "b" }', "2: unknown field 'b'"),
        ("[parts]\nx = 1", "2: x must be a table, or false to remove it, not a number"),
        ("[parts]\nx = false", "2: unknown built-in mark 'x'"),
        ("[parts]\nx = { }", "2: kind is missing"),
    ],
)
def test_each_mistake_is_reported_with_its_line(text: str, mistake: str) -> None:
    found = check_rules(text, built_in_rules())[1]
    assert [f"{each.line}: {each.problem}"[: len(mistake)] for each in found] == [mistake]
