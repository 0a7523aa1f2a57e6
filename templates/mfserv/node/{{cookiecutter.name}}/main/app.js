// The web application.

const express = require('express');

const plugin = process.env.{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME || '{{cookiecutter.name}}';

module.exports = function makeApp({ debug = false } = {}) {
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

    return app;
};
