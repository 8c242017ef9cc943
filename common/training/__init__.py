"""How a network is trained: processes, optimisation, and what a run leaves behind."""
