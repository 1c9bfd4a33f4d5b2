"""One file per feature. An action is a coroutine from a request's exchange and its fields to an outcome.

The same action answers a form and a JSON call; which of the two is the route's business, not the action's.
"""
