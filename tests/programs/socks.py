# socks.py - a SOCKS5 server on a free port of loopback, which it prints. It connects to nothing: every
# name is at 192.0.2.1 (Tor's extension of the protocol asks for that), and behind every address is a
# web server that says what it was asked for.
import hashlib
import socket
import socketserver
import struct


def exactly(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


class Handler(socketserver.BaseRequestHandler):
    def negotiate(self):
        """Returns what the client wants, and of whom: command, host, port."""
        connection = self.request
        _, count = exactly(connection, 2)
        methods = exactly(connection, count)
        method = 2 if 2 in methods else 0
        connection.sendall(bytes([5, method]))
        if method == 2:  # user name and password: any
            _, length = exactly(connection, 2)
            exactly(connection, length)
            exactly(connection, exactly(connection, 1)[0])
            connection.sendall(bytes([1, 0]))
        _, command, _, kind = exactly(connection, 4)
        if kind == 1:
            host = socket.inet_ntoa(exactly(connection, 4))
        elif kind == 3:
            host = exactly(connection, exactly(connection, 1)[0]).decode()
        else:
            host = socket.inet_ntop(socket.AF_INET6, exactly(connection, 16))
        return command, host, struct.unpack("!H", exactly(connection, 2))[0]

    def serve(self, host, port):
        request = b""
        while b"\r\n\r\n" not in request:
            part = self.request.recv(4096)
            if not part:
                return
            request += part
        path = request.split()[1].decode()
        lines = [f"{host} {port} {path} {n}\n" for n in range(int(path.strip("/") or 1))]
        body = "".join(lines).encode()
        self.request.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                             b"ETag: \"%s\"\r\n\r\n" % (len(body), hashlib.md5(body).hexdigest().encode()))
        self.request.sendall(body)

    def handle(self):
        try:
            command, host, port = self.negotiate()
            address = socket.inet_aton("192.0.2.1")
            self.request.sendall(bytes([5, 0, 0, 1]) + address + struct.pack("!H", port))
            if command == 1:
                self.serve(host, port)
        except ConnectionError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


with Server(("127.0.0.1", 0), Handler) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
