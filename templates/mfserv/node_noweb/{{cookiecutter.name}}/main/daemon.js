// Works every [custom] interval seconds, until SIGTERM.

const { setTimeout: sleep } = require('node:timers/promises');
const work = require('./work');

const interval = Number(process.env.{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_CUSTOM_INTERVAL || 60);
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => stop.abort());
}

async function main() {
    // A round that has begun is finished.
    for (let round = 1; !stop.signal.aborted; round += 1) {
        console.log(await work(round));
        await sleep(interval * 1000, null, { signal: stop.signal }).catch(() => {});
    }
}

main();
