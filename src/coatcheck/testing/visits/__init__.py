"""Visits to applications behind a door: what `coatcheck.testing.stories` is told with.

`house` says what an application has to offer so that stories can be told of it, `ways` how requests reach it,
`browsers` who visits; the other modules are the stories, by what they are about.
"""
