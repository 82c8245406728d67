/** JSON that passes through the house unread: what a client asked for, kept to be shown again. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };
