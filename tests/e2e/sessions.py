"""What an application adds to boto3 for sessions: a token that travels from response to request."""

TOKEN = "x-pangea-session"


class Session:
    """Carries the token of a session over all clients that are attached to it.

    `headers` go with every request; `answered` has the headers of the last response.
    """

    def __init__(self, **headers):
        self.token, self.answered = None, {}
        self.headers = {f"x-pangea-{name.replace('_', '-')}": str(value)
                        for name, value in headers.items()}

    def attach(self, client):
        client.meta.events.register("before-call.dynamodb", self._before)
        client.meta.events.register("after-call.dynamodb", self._after)
        return client

    def _before(self, params, **_):
        params["headers"].update(self.headers)
        if self.token:
            params["headers"][TOKEN] = self.token

    def _after(self, http_response, **_):
        self.answered = {name.lower(): value for name, value in http_response.headers.items()}
        self.token = self.answered.get(TOKEN, self.token)

    def said(self, name):
        """A header of the last response, without what they all begin with."""
        return self.answered.get(f"x-pangea-{name}")
