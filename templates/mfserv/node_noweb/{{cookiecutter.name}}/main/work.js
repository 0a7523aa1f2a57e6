// What the daemon does, once per round.

const plugin = process.env.{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME || '{{cookiecutter.name}}';

module.exports = async function work(round) {
    return `Hello World from ${plugin}, round ${round}`;
};
