/** Variables of the environment by name; undefined = not set. */
export type Environment = Readonly<Record<string, string | undefined>>;
