"""What ``hookkit worker`` does; :func:`hookkit._work.running.run_worker` is for other commands that run one."""
