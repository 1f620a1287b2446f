"""Attribution methods, one file each; ``mho.method`` says what one is."""
