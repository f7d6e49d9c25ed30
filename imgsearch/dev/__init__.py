"""For developers and demos: embedded servers, the demo catalogue, test doubles. No web process needs it."""
