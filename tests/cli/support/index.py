"""A package index on the loopback, and a proxy that leads everything to it: index.py DIRECTORY BEHAVIOUR [CERTIFICATE]

Prints its port. It behaves that way once there is a file DIRECTORY/begun; until then it just answers. Of each request it writes a line to DIRECTORY/requests: path, who asks, what is authorised. It ends with
its standard input.
"""
import gzip, hashlib, json, os, socket, ssl, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

directory, behaviour = sys.argv[1], sys.argv[2].split('=')
together = threading.Barrier(2)
seen = set()


class Index(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path
        if '://' in path:
            path = '/' + path.split('/', 3)[3]
        agent = self.headers.get('User-Agent', '').split('/')[0]
        authorization = self.headers.get('Authorization', '-')
        with open(os.path.join(directory, 'requests'), 'a') as log:
            log.write(f'{path} {agent} {authorization}\n')
        if path.startswith('/simple/'):
            self.project(path.split('/')[2])
        elif not path.startswith('/files/'):
            self.answer(404, b'')
        else:
            with open(os.path.join(directory, path.split('/')[2]), 'rb') as file:
                self.file(path, agent, authorization, file.read())

    def project(self, name):
        digests = {}
        for file in sorted(os.listdir(directory)):
            if file.startswith(name + '-'):
                with open(os.path.join(directory, file), 'rb') as content:
                    digests[file] = hashlib.sha256(content.read()).hexdigest()
        form = 'application/vnd.pypi.simple.v1+json'
        if behaviour[0] == 'json' and form in self.headers.get('Accept', ''):
            files = [{'filename': file, 'url': f'../../files/{file}', 'hashes': {'sha256': digest}}
                     for file, digest in digests.items()]
            page = json.dumps({'meta': {'api-version': '1.0'}, 'name': name, 'files': files}).encode()
            if 'gzip' in self.headers.get('Accept-Encoding', ''):
                return self.answer(200, gzip.compress(page), [('Content-Type', form), ('Content-Encoding', 'gzip')])
            return self.answer(200, page, [('Content-Type', form)])
        links = [f'<a href="/files/{file}#sha256={digest}">{file}</a>' for file, digest in digests.items()]
        self.answer(200, '\n'.join(links).encode(), [('Content-Type', 'text/html')])

    def file(self, path, agent, authorization, content):
        kind, *words = behaviour if os.path.exists(os.path.join(directory, 'begun')) else ['plain']
        if kind == 'together':
            try:
                together.wait(20)
            except threading.BrokenBarrierError:
                return self.answer(404, b'')
        elif kind == 'cut' and path not in seen:
            seen.add(path)
            self.send_response(200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content[:50])
            self.wfile.flush()
            return self.connection.shutdown(socket.SHUT_RDWR)
        elif kind == 'authorized' and authorization != words[0]:
            return self.answer(401, b'', [('WWW-Authenticate', 'Basic realm="x"')])
        elif kind == 'redirect' and agent == 'mwp':
            return self.answer(302, b'', [('Location', words[0] + path)])
        elif kind == 'refuse' and agent == 'mwp':
            return self.answer(403, b'')
        self.answer(200, content)

    def answer(self, status, content, headers=()):
        self.send_response(status)
        for name, value in (('Cache-Control', 'no-store'), *headers):
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self):
        with open(os.path.join(directory, 'requests'), 'a') as log:
            log.write(f'CONNECT {self.path}\n')
        there = socket.create_connection(self.server.server_address)
        self.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n')
        self.wfile.flush()
        back = threading.Thread(target=pass_on, args=(there, self.connection), daemon=True)
        back.start()
        pass_on(self.connection, there)
        self.close_connection = True


def pass_on(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


server = ThreadingHTTPServer(('127.0.0.1', 0), Index)
server.daemon_threads = True
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
