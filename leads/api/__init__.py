"""The API over HTTP. Thin: a file an endpoint with the shapes of its bodies; the verbs are in `leads`."""
