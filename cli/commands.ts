/**
 * The table of commands. A command is a file of this folder, which is loaded when its command is asked for: a line of help and a
 * mistake in the words cost no start-up time.
 */
import type { Command } from "commander";

/** Adds arguments, options and the action to a command that has its name already. */
export type Define = (command: Command) => Command;

export interface CommandEntry {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly load: () => Promise<Define>;
}

/** Heading in the list of commands -> commands. */
export const COMMANDS: Readonly<Record<string, readonly CommandEntry[]>> = {
  "Simulate and deploy:": [
    {
      name: "demo",
      summary: "run the embedded model on a generated population; under five minutes",
      load: async () => (await import("./demo.js")).demo,
    },
    {
      name: "simulate",
      summary: "run the whole method on a population, on this machine",
      load: async () => (await import("./simulate.js")).simulate,
    },
    {
      name: "coordinator",
      summary: "serve a federation: enrol clients, group them, train their adapters",
      load: async () => (await import("./coordinator.js")).coordinator,
    },
    {
      name: "client",
      summary: "take part in a federation with the data of one client",
      load: async () => (await import("./client.js")).client,
    },
  ],
  "Runs:": [
    {
      name: "run",
      summary: "show the condition of a run or its events, also while it is under way; remove it",
      load: async () => (await import("./run.js")).run,
    },
    {
      name: "export",
      summary: "write a run's adapters as folders of PEFT or AdapterHub, and the ensemble's weights",
      load: async () => (await import("./export.js")).exportCommand,
    },
    {
      name: "affinity",
      summary: "explain why a client is in its group, and what would change if it moved",
      load: async () => (await import("./affinity.js")).affinity,
    },
  ],
  "Stages:": [
    {
      name: "gradients",
      summary: "first stage alone: sketches of a population, as files",
      load: async () => (await import("./gradients.js")).gradients,
    },
    {
      name: "estimate",
      summary: "second stage alone: from sketches to affinities, as files",
      load: async () => (await import("./estimate.js")).estimate,
    },
    {
      name: "group",
      summary: "third stage alone: groups from an affinity matrix, or from an estimate's folder",
      load: async () => (await import("./group.js")).group,
    },
  ],
  "Models and data:": [
    {
      name: "data",
      summary: "check data before a run: rows, tokens, labels, duplicates, what is scored, what it costs",
      load: async () => (await import("./data.js")).data,
    },
    {
      name: "evaluate",
      summary: "measure loss, accuracy and macro-F1 of a model on rows, with an adapter or without",
      load: async () => (await import("./evaluate.js")).evaluate,
    },
    {
      name: "predict",
      summary: "answer rows: likelihoods of their choices, or text",
      load: async () => (await import("./predict.js")).predict,
    },
    {
      name: "sharpness",
      summary: "measure how sharp the loss is around an adapter: trace and top of its Hessian",
      load: async () => (await import("./sharpness.js")).sharpness,
    },
  ],
  "Machine and configuration:": [
    {
      name: "doctor",
      summary: "test which runtimes and GPUs work here: a small training step on each, numbers compared",
      load: async () => (await import("./doctor.js")).doctor,
    },
    {
      name: "runtime",
      summary: "add what npm does not bring: the CUDA provider, TensorFlow for tfjs",
      load: async () => (await import("./runtime.js")).runtime,
    },
    {
      name: "profile",
      summary: "measure time, operations and peak memory: several adapters in one pass, a step, a sketch",
      load: async () => (await import("./profile.js")).profile,
    },
    {
      name: "schema",
      summary: "print the JSON schema of a configuration file, for editors",
      load: async () => (await import("./schema.js")).schema,
    },
  ],
};
