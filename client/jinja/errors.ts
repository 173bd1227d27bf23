/** What goes wrong in a template: in its text, or while it renders. */

/** A message for the user, which names the template's line where it is known. */
export class TemplateError extends Error {
  constructor(
    message: string,
    readonly line?: number,
  ) {
    super(line === undefined ? message : `line ${line}: ${message}`);
    this.name = "TemplateError";
  }
}

/** An operation on a value for which Python raises an error (`TypeError`, `UndefinedError`, ...). The evaluator adds the line. */
export class ValueError extends Error {}
