"""What would stop a run later, found before its first job: data, models, judges and the machine, looked at in seconds."""
