"""The receiver's commands: ``hookkit verify`` looks at one request, ``hookkit listen`` at whatever arrives."""
