"""Names of attributes, to the letter: tools find spans by them."""

from opentelemetry.semconv._incubating.attributes import k8s_attributes

from kspan import vocabulary


def test_names_of_objects_are_those_of_the_semantic_conventions() -> None:
    defined = {value for value in vars(k8s_attributes).values() if isinstance(value, str)}
    used = {name for kind in vocabulary._KINDS for name in vocabulary.object_attributes(kind, "web", "1")}
    used |= {getattr(vocabulary, name) for name in ("CLUSTER_UID", "CLUSTER_NAME", "NAMESPACE_NAME", "NODE_NAME")}
    used.add(vocabulary.CONTAINER_NAME)
    # Only its name is among them; for us each object has both.
    assert used - defined == {"k8s.namespace.uid"}


def test_names_for_events_are_those_of_the_collectors_k8sevents_receiver() -> None:
    ours = {value for name, value in vars(vocabulary).items() if name.startswith(("EVENT_", "OBJECT_"))}
    # receiver/k8seventsreceiver/k8s_event_to_logdata.go; the message is the body of its log record.
    theirs = {
        "k8s.event.reason", "k8s.event.action", "k8s.event.start_time", "k8s.event.name", "k8s.event.uid",
        "k8s.event.count", "k8s.object.kind", "k8s.object.name", "k8s.object.uid", "k8s.object.fieldpath",
        "k8s.object.api_version", "k8s.object.resource_version",
    }  # fmt: skip
    assert ours - theirs == {"k8s.event.message", vocabulary.EVENT_RULE}
    assert not theirs - ours
