"""What stands between the network and the form: who may ask, what may be sent, what is told."""
