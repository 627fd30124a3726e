"""Several worker processes behind one port, which are one server to everybody outside."""
