"""Questions to the history are answered by a process of their own, so that readers do not slow down the writer."""
