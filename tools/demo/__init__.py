"""The mission in numbered steps on this machine, each the real command with its real output."""
