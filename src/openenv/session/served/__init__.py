"""What a server serves: the class or factory, the types that go in and come out, what tells one from another."""
