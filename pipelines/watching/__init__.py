"""How far a run is: the status of a work folder, the progress of a command."""
