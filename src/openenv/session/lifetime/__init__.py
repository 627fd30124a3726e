"""How sessions get a place, how long they live, how they end, and which of them come back."""
