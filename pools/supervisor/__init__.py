"""The loop of `runpools`, and its parts that concern the pod as a whole."""
