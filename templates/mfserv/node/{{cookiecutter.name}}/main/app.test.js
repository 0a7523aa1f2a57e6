const assert = require('node:assert');
const { test } = require('node:test');
const makeApp = require('./app');

test('every path says hello', async () => {
    const server = makeApp().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const response = await fetch(`http://127.0.0.1:${server.address().port}/a/b`);
    assert.strictEqual(response.status, 200);
    assert.match(await response.text(), /Hello World/);
    server.closeAllConnections();
    server.close();
});
