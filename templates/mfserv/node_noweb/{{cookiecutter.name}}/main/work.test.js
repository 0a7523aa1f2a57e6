const assert = require('node:assert');
const { test } = require('node:test');
const work = require('./work');

test('a round says hello', async () => {
    assert.match(await work(7), /^Hello World from .*, round 7$/);
});
