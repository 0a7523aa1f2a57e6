// Serves the application. Usage: node server.js UNIX_SOCKET [--debug]

const fs = require('node:fs');
const makeApp = require('./app');

const socket = process.argv[2];
const app = makeApp({ debug: process.argv.includes('--debug') });

// A worker that was killed leaves its socket behind.
fs.rmSync(socket, { force: true });
const server = app.listen(socket, (error) => {
    if (error) {
        throw error;
    }
    console.log(`listening on ${socket}`);
});

// Requests under way are answered before the process ends.
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => server.close(() => process.exit(0)));
}
