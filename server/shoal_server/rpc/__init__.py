"""The wire: decode, call, encode. One module a service, and the only room that imports grpc."""
