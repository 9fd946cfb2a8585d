"""Where rows, a network and a run meet: settings, the loop, its observers, evaluation, export."""
