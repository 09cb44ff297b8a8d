"""The doors: what people type and see. One module per command; typer and rich live here and nowhere else."""
