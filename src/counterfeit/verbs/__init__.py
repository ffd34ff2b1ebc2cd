"""One module a verb of the command line, one public function a module."""
