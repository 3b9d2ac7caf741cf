import { useId, useState, type SubmitEvent } from 'react'
import { changeAccount, deleteAccount } from '../api/calls'
import { ApiError, words } from '../api/request'
import { useChat } from '../state/context'
import { Dialog } from '../ui/Dialog'

/** Another name, another passphrase, or the end. */
export default function Account({ onClose }: { onClose(): void }) {
  const chat = useChat()
  const [name, setName] = useState(chat.me.name)
  const [current, setCurrent] = useState('')
  const [passphrase, setPassphrase] = useState('')
  const [deleting, setDeleting] = useState(false)
  const [problem, setProblem] = useState({ field: '', text: '' })
  const { limits } = chat.session
  const id = useId()

  const attempt = (act: () => Promise<void>) => async (event: SubmitEvent) => {
    event.preventDefault()
    try {
      await act()
    } catch (err) {
      setProblem({ field: err instanceof ApiError ? err.field : '', text: words(err) })
    }
  }
  const save = attempt(async () => {
    const renamed = name.trim() !== chat.me.name
    await changeAccount({ ...(renamed && { name: name.trim() }), ...(passphrase && { passphrase, current }) })
    // Everything on the page has the old name.
    if (renamed) return location.reload()
    chat.notify('Your passphrase is changed. You are signed out everywhere else.')
    onClose()
  })
  const end = attempt(async () => {
    await deleteAccount(current)
    location.assign('/')
  })
  const described = (field: string) => (problem.field === field ? { 'aria-invalid': true, 'aria-describedby': `${id}-problem` } : {})
  const password = (field: string, label: string, value: string, change: (to: string) => void, complete: string) => (
    <div className="field">
      <label htmlFor={`${id}-${field}`}>{label}</label>
      <input id={`${id}-${field}`} className="input" data-testid={`account-${field}`} type="password" value={value} onChange={(e) => change(e.target.value)} maxLength={200} autoComplete={complete} {...described(field)} />
    </div>
  )
  const trouble = (
    <p id={`${id}-problem`} className="error" role="alert" data-testid="account-problem">
      {problem.text}
    </p>
  )
  if (deleting)
    return (
      <Dialog title="Delete your account?" onClose={onClose}>
        <form className="form" onSubmit={end} noValidate>
          <p>You leave all rooms, and your name is free for others. What you have written stays, under “Deleted account”. This cannot be taken back.</p>
          {password('current', 'Your passphrase', current, setCurrent, 'current-password')}
          {trouble}
          <div className="dialog-actions">
            <button type="button" className="button" onClick={() => setDeleting(false)}>
              Back
            </button>
            <button className="button danger" data-testid="account-delete" disabled={!current}>
              Delete for good
            </button>
          </div>
        </form>
      </Dialog>
    )
  return (
    <Dialog title="Your account" onClose={onClose}>
      <form className="form" onSubmit={save} noValidate>
        <div className="field">
          <label htmlFor={`${id}-name`}>Name</label>
          <input id={`${id}-name`} className="input" data-testid="account-name" value={name} onChange={(e) => setName(e.target.value)} maxLength={limits.name_chars * 2} autoComplete="username" spellCheck={false} {...described('name')} />
        </div>
        {password('passphrase', 'New passphrase (empty: as before)', passphrase, setPassphrase, 'new-password')}
        {passphrase && password('current', 'Passphrase until now', current, setCurrent, 'current-password')}
        {trouble}
        <div className="dialog-actions">
          <button type="button" className="button bare apart" data-testid="account-end" onClick={() => setDeleting(true)}>
            Delete account…
          </button>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" data-testid="account-save" disabled={!name.trim() || (name.trim() === chat.me.name && !passphrase)}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}
