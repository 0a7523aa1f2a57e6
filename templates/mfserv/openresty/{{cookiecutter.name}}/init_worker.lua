-- Runs once in each of nginx's workers when it starts. This file is Jinja2 over the plugin's environment.
{% raw %}ngx.shared["{{MFSERV_CURRENT_PLUGIN_NAME}}_counters"]:incr("workers", 1, 0){% endraw %}
