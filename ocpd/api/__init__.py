"""The front door: the handlers behind the public routes."""
