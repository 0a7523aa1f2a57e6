<?php
declare(strict_types=1);

function hello(): string
{
    $plugin = getenv('{{cookiecutter.MFMODULE}}_CURRENT_PLUGIN_NAME') ?: '{{cookiecutter.name}}';
    return "Hello World from $plugin!";
}
