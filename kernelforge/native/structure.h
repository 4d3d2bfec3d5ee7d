/* What a graph looks like, whatever its buffers hold.

The structure of a graph is what `kernelforge.structure` says: each node with its operation and attribute, one met again
by its number, buffers by theirs.  Here it is two rows, of numbers and of objects. */

#ifndef KF_STRUCTURE_H
#define KF_STRUCTURE_H

#include "records.h"

enum { KF_MOST_NODES = 512, KF_MOST_BUFFERS = 64, KF_MOST_WORDS = 2048, KF_MOST_OBJECTS = 2048 };

/* A graph as it is walked; all borrowed. */
struct kf_graph {
    Py_ssize_t words, objects, buffers, nodes;
    uint64_t hash;
    uint64_t word[KF_MOST_WORDS];
    PyObject *object[KF_MOST_OBJECTS];
    PyObject *buffer[KF_MOST_BUFFERS];
    kf_node *node[KF_MOST_NODES];
};

/* Walks what nodes are computed from; false where the graph is too large, or not to be known by this. */
bool kf_walk(struct kf_graph *graph, kf_node *const *roots, Py_ssize_t count);

/* Makes what walking needs; -1 with an error set. */
int kf_prepare_structure(void);

#endif
