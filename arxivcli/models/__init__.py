"""What scores texts: one interface, several kinds, a card for each model and a shelf to take them from."""
