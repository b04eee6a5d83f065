"""What the simulator paints; replaceable (`Simulator(painter=...)`)."""
