"""The protocol's own conformance suite against this server: `python -m tests.conformance`.

content   fixtures that answer with every kind of content
asking    fixtures that ask the client something before they answer
fixtures  the product's server and HTTP stack with those fixtures registered
targets   the two servers that the suite is run against, as processes
suite     finding the suite, running it, reading what it wrote
verdict   what must hold of what it wrote
"""
