//! The graph for Graphviz and Mermaid. Solid arrows are dependencies, whose outputs count; dashed ones are order alone.

use super::plan::Plan;

/// (from, to, whether outputs count), in the order of the plan.
pub fn edges(plan: &Plan) -> Vec<(&str, &str, bool)> {
    let mut edges = Vec::new();
    for (index, task) in plan.tasks.iter().enumerate() {
        for other in &plan.first[index] {
            let name = plan.tasks[*other].name.as_str();
            edges.push((
                name,
                task.name.as_str(),
                task.dependencies.iter().any(|dependency| dependency == name),
            ));
        }
    }
    edges
}

pub fn dot(plan: &Plan) -> String {
    let mut lines =
        vec!["digraph plugin {".to_owned(), "    rankdir=LR;".to_owned(), "    node [shape=box];".to_owned()];
    for task in &plan.tasks {
        let tip = task.summary.replace('\\', "\\\\").replace('"', "\\\"");
        lines.push(format!("    \"{}\" [tooltip=\"{tip}\"];", task.name));
    }
    for (from, to, counts) in edges(plan) {
        let style = if counts { "" } else { " [style=dashed]" };
        lines.push(format!("    \"{from}\" -> \"{to}\"{style};"));
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

pub fn mermaid(plan: &Plan) -> String {
    let number = |name: &str| plan.tasks.iter().position(|task| task.name == name).unwrap_or(0);
    let mut lines = vec!["graph LR".to_owned()];
    for task in &plan.tasks {
        lines.push(format!("    t{}[\"{}\"]", number(&task.name), task.name));
    }
    for (from, to, counts) in edges(plan) {
        let arrow = if counts { "-->" } else { "-.->" };
        lines.push(format!("    t{} {arrow} t{}", number(from), number(to)));
    }
    lines.join("\n")
}
