// The web application. Usage: node server.js UNIX_SOCKET [--debug]

const fs = require('fs');
const express = require('express');

const socket = process.argv[2];
const debug = process.argv.includes('--debug');
const plugin = process.env.{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME || '{{cookiecutter.name}}';

const app = express();

if (debug) {
    app.use((request, response, next) => {
        console.log(request.method, request.originalUrl);
        next();
    });
}

// nginx hands over the whole path, with what it routed by in front.
app.use((request, response) => {
    response.send(`Hello World from ${plugin}!`);
});

// A worker that was killed leaves its socket behind.
fs.rmSync(socket, { force: true });
const server = app.listen(socket, () => console.log(`listening on ${socket}`));

// Requests under way are answered before the process ends.
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => server.close(() => process.exit(0)));
}
