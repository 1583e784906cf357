"""How far a run is: status of a work folder, progress of a command."""
