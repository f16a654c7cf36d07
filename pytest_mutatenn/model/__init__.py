"""The network and its inputs: find them, read them, import the network into TVM."""
