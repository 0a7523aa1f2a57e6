<?php
declare(strict_types=1);

function check(bool $holds, string $rule): void
{
    if (!$holds) {
        fwrite(STDERR, "failed: $rule\n");
        exit(1);
    }
}

ob_start();
require __DIR__ . '/../main/index.php';
$page = ob_get_clean();

check(str_starts_with(hello(), 'Hello World from '), 'it says hello');
check(str_contains($page, htmlspecialchars(hello())), 'the page says hello');
echo "OK\n";
