/** Names of files with chat templates in a model's folder, as transformers has them. */

export const CHAT_TEMPLATE_FILE = "chat_template.jinja";
/** Holds named templates: `NAME.jinja`. */
export const CHAT_TEMPLATE_FOLDER = "additional_chat_templates";
